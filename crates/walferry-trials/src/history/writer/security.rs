//! Statements about row security: a policy hides rows from the connector's role, which owns the table.
//!
//! Never: a policy that names a column, which could not be changed then.

use anyhow::Result;

use super::Writer;

pub(super) fn change(writer: &mut Writer, index: usize) -> Result<()> {
    let table = &mut writer.tables[index];
    let (name, role) = (table.name.clone(), writer.role.clone());
    table.secured = !table.secured;
    let secured = table.secured;
    writer.note_read_again(&name)?;
    writer.execute(&match secured {
        true => format!(
            "create policy half on {name} for select to {role} using (random() < 0.5);
             alter table {name} enable row level security, force row level security"
        ),
        false => format!(
            "drop policy half on {name};
             alter table {name} disable row level security, no force row level security"
        ),
    })
}
