//! `event-loop`.
