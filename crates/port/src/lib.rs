//! openmile port.
