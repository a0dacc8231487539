//! openmile neighbor.
