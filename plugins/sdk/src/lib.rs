//! What a gateway plugin is, sees and answers.
