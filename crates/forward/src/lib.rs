//! openmile forward.
