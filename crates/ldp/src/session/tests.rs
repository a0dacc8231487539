//! The whole transition table.
