//! openmile subscriber.
