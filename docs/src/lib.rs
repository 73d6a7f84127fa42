//! The snippets of the README, compiled as doctests.

#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
