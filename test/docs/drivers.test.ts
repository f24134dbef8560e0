/** What docs/ says of drivers is what the registry declares and the suites start. */
import { expect, it } from 'vitest';
import { drivers } from '../../drivers/registry.ts';
import { driversTable, policies } from './driver-tables.ts';
import { expectGenerated } from './generated.ts';

it('docs/drivers.md says what was tested against what', () => {
  expectGenerated('docs/drivers.md', 'drivers', driversTable());
});

it('docs/aws-policies.md holds the least rights of every driver', () => {
  expectGenerated('docs/aws-policies.md', 'policies', policies());
});

it('every declared call says what it needs and where it goes', () => {
  for (const { type, calls = [] } of drivers.values())
    for (const { service, calls: declared } of calls)
      for (const [name, call] of Object.entries(declared)) {
        const { right, resource, where, why } = call;
        expect(Object.values({ right, resource, where, why }).every(Boolean), `${type}: ${service} ${name}`).toBe(true);
        if (resource.startsWith('arn:')) expect(right, `${type}: ${name}`).toMatch(/^[a-z0-9-]+:[A-Z][A-Za-z]+$/);
      }
});
