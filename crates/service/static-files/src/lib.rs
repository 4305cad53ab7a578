//! `static-files`.
