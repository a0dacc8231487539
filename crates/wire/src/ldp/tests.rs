//! The codec against octets, and against itself.
