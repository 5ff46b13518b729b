//! The transactional producer and the checkpoint topic.
