/**
 * The newest generation that a cluster holds of a resource, which is past the database's own after a restore; 0 if it
 * is not. A sub-select for a query whose row has `tenant_id`, `data_plane_id` and `id` under these names.
 */
export const heldGeneration = (
  kind: 'Instance' | 'DataPlane',
  of: { tenant: string; dataPlane: string; id: string },
) =>
  `(SELECT coalesce(max(u.generation), 0)::int FROM felucca.unknown_objects u
     WHERE u.tenant_id = ${of.tenant} AND u.data_plane_id = ${of.dataPlane} AND u.kind = '${kind}' AND u.id = ${of.id}::text)`;

/** Above what the cluster holds, too: an operator never takes a lower one, whatever the epoch. */
export const nextGeneration = (row: { generation: number; heldGeneration: number }): number =>
  Math.max(row.generation, row.heldGeneration) + 1;

/** After a restore: what the cluster runs is newer than this row. */
export const isOvertaken = (row: { generation: number; heldGeneration: number }): boolean =>
  row.heldGeneration > row.generation;
