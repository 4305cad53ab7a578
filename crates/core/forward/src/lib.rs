//! `forward`.
