//! What tests share: stories told in facts, who and what is in many of them, sample records.

pub mod records;
pub mod story;
