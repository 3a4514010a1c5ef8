//! Blocking client for models deployed on Baseten: no runtime, no helper thread.
