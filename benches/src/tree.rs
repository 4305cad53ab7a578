//! Trees of many files whose content follows from their number, so that whoever asks for one can tell whether it is right.

use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::Path,
};

use clap::ValueEnum;

/// What a tree holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Tree {
    /// JSON of 50 KiB, each file another.
    Json,
    /// Files of 1 KiB, and every fourth of 96 KiB, which is mostly a hole.
    Mixed,
}

/// Length of a JSON file: 50 KiB.
pub const JSON_BYTES: usize = 50 << 10;
/// Length of a small file.
const SMALL_BYTES: usize = 1 << 10;
/// Length of every fourth: more than anybody holds in memory rather than as a descriptor.
const LARGE_BYTES: usize = 96 << 10;
/// Folders that the files are spread over.
const FOLDERS: usize = 256;

impl Tree {
    /// The target of the `n`-th file.
    pub fn path(self, n: usize) -> String {
        let suffix = match self {
            Tree::Json => "json",
            Tree::Mixed => "txt",
        };
        format!("/{:02x}/{n:06}.{suffix}", n % FOLDERS)
    }

    /// Its content.
    pub fn content(self, n: usize) -> Vec<u8> {
        match self {
            Tree::Json => json(n),
            Tree::Mixed => {
                let mut content = self.path(n).into_bytes();
                content.resize(if n % 4 == 3 { LARGE_BYTES } else { SMALL_BYTES }, 0);
                content
            }
        }
    }

    /// Writes the files of these numbers beneath `site`.
    pub fn plant(self, site: &Path, numbers: std::ops::Range<usize>) -> io::Result<()> {
        for folder in 0..FOLDERS {
            let folder = site.join(format!("{folder:02x}"));
            fs::create_dir_all(&folder)?;
            fs::set_permissions(&folder, fs::Permissions::from_mode(0o755))?;
        }
        for n in numbers {
            let content = self.content(n);
            let dense = content.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            let mut file = File::create(site.join(self.path(n).trim_start_matches('/')))?;
            file.write_all(&content[..dense])?;
            file.set_len(content.len() as u64)?;
        }
        Ok(())
    }
}

/// Records as an interface for programs would list them: names that repeat, numbers and times that do not.
fn json(n: usize) -> Vec<u8> {
    const WORDS: [&str; 16] = [
        "harbour", "signal", "meadow", "copper", "lantern", "orchard", "granite", "willow", "ember", "canyon",
        "velvet", "thunder", "marble", "saffron", "juniper", "cobalt",
    ];
    let mut dice = Dice::new(n as u64);
    let mut text = String::with_capacity(JSON_BYTES + 512);
    text.push('[');
    let mut id = n * 1000;
    while text.len() < JSON_BYTES {
        let mut word = || WORDS[dice.next(WORDS.len())];
        let (first, second, third) = (word(), word(), word());
        let price = format!("{}.{:02}", dice.next(1000), dice.next(100));
        text.push_str(&format!(
            "{{\"id\":{id},\"name\":\"{first} {second}\",\"tags\":[\"{third}\",\"{first}\"],\"active\":{},\"price\":{price},\
             \"updated\":\"2026-{:02}-{:02}T{:02}:{:02}:{:02}Z\",\"owner\":{{\"id\":{},\"email\":\"{second}.{third}@example.com\"}}}},",
            dice.next(2) == 0,
            1 + dice.next(12),
            1 + dice.next(28),
            dice.next(24),
            dice.next(60),
            dice.next(60),
            dice.next(100_000),
        ));
        id += 1;
    }
    text.truncate(JSON_BYTES);
    text.into_bytes()
}

/// Repeatable chance (splitmix64).
#[derive(Debug)]
pub struct Dice(u64);

impl Dice {
    /// The same seed gives the same throws.
    pub fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0x2545_f491_4f6c_dd1d).wrapping_add(1))
    }

    /// A number below `end`.
    pub fn next(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((word ^ (word >> 31)) % end.max(1) as u64).unwrap_or(0)
    }

    /// The numbers from 0 on, in an order of its own.
    pub fn shuffle(&mut self, count: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..count).collect();
        for last in (1..count).rev() {
            order.swap(last, self.next(last + 1));
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_follow_from_their_numbers() {
        let folder = tempfile::tempdir().expect("a folder");
        for tree in [Tree::Json, Tree::Mixed] {
            tree.plant(folder.path(), 5..9).expect("room");
            for n in 5..9 {
                let content = fs::read(folder.path().join(&tree.path(n)[1..])).expect("planted");
                assert!(content == tree.content(n), "{tree:?} {n}");
                assert!(content != tree.content(n + 1));
            }
        }
        assert_eq!(Tree::Json.content(1).len(), JSON_BYTES);
        assert_eq!(Tree::Mixed.content(3).len(), LARGE_BYTES);
    }

    #[test]
    fn an_order_holds_every_number_once() {
        let order = Dice::new(1).shuffle(1000);
        assert_ne!(order, (0..1000).collect::<Vec<_>>());
        assert_eq!(order, Dice::new(1).shuffle(1000));
        let mut sorted = order;
        sorted.sort_unstable();
        assert_eq!(sorted, (0..1000).collect::<Vec<_>>());
    }
}
