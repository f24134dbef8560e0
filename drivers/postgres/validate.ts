/** What the schemas cannot say of a `postgres` component. */
import type { Component } from '../../topology/model.ts';
import { configSchema, controlDatabaseOf, nodeSchema } from './config.ts';

type Problem = { path: (string | number)[]; message: string; code: string; severity?: 'warning' };

/** Cross-field problems, with the path of the field that mends them. Fields that are wrong themselves are skipped. */
export function validatePostgres(component: Component): Problem[] {
  const problems: Problem[] = [];
  const config = configSchema.safeParse(component.config);
  const names = new Map<string, string>();
  for (const side of Object.values(component.sides)) {
    side.nodes.forEach((node, index) => {
      const parsed = nodeSchema.safeParse(node.config);
      if (!parsed.success) return;
      const path = side.nodes.length === 1 ? ['sides', side.region] : ['sides', side.region, index];
      const add = (field: string, message: string, code: string): void =>
        void problems.push({ path: [...path, field], message, code });
      const { fence, dataDir, control } = parsed.data;
      const how = fence ?? (dataDir === undefined ? 'sql' : 'stop');
      if (how === 'stop' && dataDir === undefined) {
        add('fence', 'fence: stop needs `dataDir`, where the proof is read and made durable', 'postgres_fence_stop');
      }
      if (how === 'command' && control?.fence === undefined) {
        add('fence', 'fence: command needs `control.fence`, the command that fences', 'postgres_fence_command');
      }
      if (how === 'sql' && config.success && config.data.database === controlDatabaseOf(config.data, component)) {
        const message = `fence: sql closes every database but \`controlDatabase\`, so that must not be the service's own (${config.data.database}): create one for Rampart and name it, or give the node a \`dataDir\``;
        add('fence', message, 'postgres_fence_sql');
      }
      if (dataDir === undefined && node.place === undefined)
        problems.push({
          path,
          message: `${node.name} has no \`dataDir\` and no \`place\`: while it is a replica, what a run claims there is kept by the worker that did it, and another machine's worker would refuse or miss it; give it a \`place\` that one machine serves, or let its workers share RAMPART_STATE_DIR`,
          code: 'postgres_claims_apart',
          severity: 'warning',
        });
      if (control?.kind === 'systemd' && control.unit === undefined) {
        add('control', 'control.kind: systemd needs `unit`', 'postgres_control_unit');
      }
      const slot = node.name.toLowerCase().replaceAll(/[^a-z0-9_]/g, '_');
      const other = names.get(slot);
      if (other !== undefined) {
        add('name', `nodes ${other} and ${node.name} would share a replication slot: rename one`, 'postgres_node_name');
      }
      names.set(slot, node.name);
    });
  }
  return problems;
}
