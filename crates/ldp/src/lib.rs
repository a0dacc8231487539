//! openmile ldp.
