//! Time as a value: ticks, the cached HTTP date and the timer wheel. Knows no system clock; whoever drives it
//! (the reactor, or a test) says what time it is.

mod date;
mod tick;
mod wheel;

pub use date::HttpDate;
pub use tick::Tick;
pub use wheel::Wheel;
