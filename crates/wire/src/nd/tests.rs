//! Neighbor Discovery packets against octets from elsewhere, and every validity check.
