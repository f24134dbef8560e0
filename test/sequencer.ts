import { relative } from 'node:path';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/**
 * The files that take longest, longest first. Vitest knows durations only from a run before, which a fresh clone has
 * not had, and begins with the largest files otherwise: the crash cells came last then, with a core idle beside them.
 */
const FIRST = [
  'crash/cells',
  'e2e/demo',
  'e2e/rds-postgres',
  'e2e/aws-cloudflare',
  'integration/alerts',
  'integration/killed',
  'integration/requests',
  'drivers/postgres/faults',
  'lab/world',
  'simulation/simulation',
  'crash/disaster',
  'virtual-time/engine/calibration',
  'integration/temporal-cli',
  'clients/runs',
  'integration/bad-days',
  'integration/returning-primary',
  'drivers/postgres/sql-fence',
  'integration/source-dies',
  'integration/unplanned',
  'drivers/postgres/recovery-target',
  'drivers/postgres/repair',
];

/** Longest first, so that no long file is left to run alone at the end. */
export default class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const place = ({ moduleId }: TestSpecification): number => {
      const name = relative(import.meta.dirname, moduleId).replace(/\.test\.ts$/, '');
      const index = FIRST.indexOf(name);
      return index === -1 ? FIRST.length : index;
    };
    return (await super.sort(files)).sort((a, b) => place(a) - place(b));
  }
}
