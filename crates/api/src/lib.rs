//! openmile api.
