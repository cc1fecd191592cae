//! Paths of the checkout.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use cargo_metadata::{Metadata, MetadataCommand};

/// The checkout that xtask works on.
pub struct Workspace {
    root: PathBuf,
    target: PathBuf,
}

impl Workspace {
    /// Asks cargo.
    pub fn find() -> Result<Self> {
        let metadata = metadata(MetadataCommand::new().no_deps())?;
        Ok(Self { root: metadata.workspace_root.into(), target: metadata.target_directory.into() })
    }

    /// The top of the checkout.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of everything that can be built again.
    pub fn target(&self) -> &Path {
        &self.target
    }
}

/// Runs `cargo metadata` where the caller stands.
pub fn metadata(command: &mut MetadataCommand) -> Result<Metadata> {
    command.exec().context("cargo could not describe the workspace")
}
