// SPDX-License-Identifier: MIT OR Apache-2.0
//! Dependency order.

use std::collections::BTreeMap;

use super::GraphError;
use crate::recipe::Recipe;

/// The recipes that `targets` need, each after what it needs.
pub(super) fn ordered<'r>(
    recipes: &'r [Box<dyn Recipe>],
    targets: &[&str],
) -> Result<Vec<&'r dyn Recipe>, GraphError> {
    let mut by_name: BTreeMap<String, &'r dyn Recipe> = BTreeMap::new();
    for recipe in recipes {
        if by_name.insert(recipe.name(), &**recipe).is_some() {
            return Err(GraphError::Twice(recipe.name()));
        }
    }
    let mut walk = Walk { by_name, done: Vec::new(), path: Vec::new(), order: Vec::new() };
    for target in targets {
        walk.visit(target)?;
    }
    Ok(walk.order)
}

struct Walk<'r> {
    by_name: BTreeMap<String, &'r dyn Recipe>,
    done: Vec<String>,
    path: Vec<String>,
    order: Vec<&'r dyn Recipe>,
}

impl Walk<'_> {
    fn visit(&mut self, name: &str) -> Result<(), GraphError> {
        if self.done.iter().any(|done| done == name) {
            return Ok(());
        }
        if let Some(at) = self.path.iter().position(|on| on == name) {
            let mut cycle = self.path[at..].to_vec();
            cycle.push(name.to_owned());
            return Err(GraphError::Cycle(cycle));
        }
        let recipe = *self.by_name.get(name).ok_or_else(|| GraphError::Unknown {
            name: name.to_owned(),
            by: self.path.last().cloned(),
        })?;
        self.path.push(name.to_owned());
        for need in recipe.needs() {
            self.visit(&need)?;
        }
        self.path.pop();
        self.done.push(name.to_owned());
        self.order.push(recipe);
        Ok(())
    }
}
