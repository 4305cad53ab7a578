//! `reverse-proxy`.
