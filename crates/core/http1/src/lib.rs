//! `http1`.
