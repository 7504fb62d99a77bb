// SPDX-License-Identifier: MIT OR Apache-2.0
//! The image build library: lock, fetch, store, sandbox, job graph, assembly.
