//! All that needs a machine. It makes facts, and knows nothing of what becomes of them.

pub mod btf;
pub mod decode;
pub mod lookup;
pub mod preflight;
pub mod probe;
