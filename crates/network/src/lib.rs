//! openmile network.
