//! Frames to messages and back.
