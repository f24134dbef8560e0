/** What was seen of a service from this machine, as lines. */
import { weightsText } from '../../../evidence/format.ts';
import type { Look } from '../../observe.ts';
import type { Paint } from '../cli.ts';
import { ago, clock, lagText } from './facts.ts';
import { table } from './table.ts';

/** Region that takes the writes (or, without a store, the traffic); `null` when none or more than one does. */
export function activeRegion(look: Pick<Look, 'classified'>): string | null {
  const { state, region } = look.classified;
  return ['steady', 'unsettled', 'midRamp', 'promoted'].includes(state) ? region : null;
}

/** Every node, router and workload as seen, and what could not be seen. */
export function lookLines(look: Look, paint: Paint, now: number): string[] {
  const { observations } = look;
  const rows: string[][] = [];
  for (const [store, nodes] of Object.entries(observations.stores)) {
    for (const node of nodes) {
      const lag = node.lag === null ? '' : `, ${lagText(node.lag, now)}`;
      const alone = nodes.filter(({ region }) => region === node.region).length === 1;
      const name = alone ? node.region : `${node.node} in ${node.region}`;
      rows.push([store, name, `${stateText(node.state, paint)}${lag}`, paint.dim(node.detail)]);
    }
  }
  for (const [router, seen] of Object.entries(observations.routers)) {
    const text = seen.weights === null ? paint.yellow('not readable') : weightsText(seen.weights);
    rows.push([
      router,
      '',
      `${text}${seen.applied || seen.weights === null ? '' : paint.red(' (not applied)')}`,
      paint.dim(seen.detail),
    ]);
  }
  for (const [workload, regions] of Object.entries(observations.workloads)) {
    for (const seen of regions) {
      const ready = seen.ready === null ? '' : seen.ready ? ', ready' : paint.red(', not ready');
      rows.push([
        workload,
        seen.region,
        seen.reachable ? `${seen.state}${ready}` : paint.red('unreachable'),
        paint.dim(seen.detail),
      ]);
    }
  }
  return [
    `Seen from this machine at ${clock(look.at)} (${ago(look.at, now)}): ${look.classified.text}`,
    ...table(rows),
    ...look.classified.missing.map((what) => paint.yellow(`not known: ${what}`)),
  ];
}

function stateText(state: string, paint: Paint): string {
  if (state === 'writable') return paint.green(state);
  return ['replica', 'fenced'].includes(state) ? state : paint.red(state);
}
