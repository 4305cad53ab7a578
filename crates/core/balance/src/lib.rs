//! `balance`.
