//! Prints the configuration reference; `cargo xtask docs` keeps it in configs/reference.toml.

fn main() {
    print!("{}", config::reference());
}
