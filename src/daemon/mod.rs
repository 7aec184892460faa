//! The loop: the only place where facts and wishes meet the world.
