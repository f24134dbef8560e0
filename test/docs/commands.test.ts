import { expect, it } from 'vitest';
import { commandsIn, problemOf, program, words } from './commands.ts';

it('knows a right command from a wrong one', async () => {
  const root = await program();
  const good = [
    './rampart start failover --service checkout --to eu-central --reason "a drill"',
    'rampart --config x.yaml status -w checkout',
    'rampart lab kill database eu-west --name two',
    "rampart skip checkout drain:app@eu-west --reason 'gone'",
    'rampart status --json | jq .',
  ];
  for (const line of good) expect(problemOf(root, line), line).toBeNull();
  expect(problemOf(root, 'rampart failover checkout')).toBe('there is no verb failover');
  expect(problemOf(root, 'rampart status --live')).toBe('status takes no --live');
  expect(problemOf(root, 'rampart approve')).toBe('approve needs service');
  expect(problemOf(root, 'rampart pause checkout now')).toBe('pause takes no now');
});

it('finds commands in pages', () => {
  const page =
    'See `rampart doctor`.\n```sh\n./rampart start failover \\\n  --to x\nls\n```\n```yaml\nrampart: no\n```\n';
  expect(commandsIn(page)).toEqual([
    { line: './rampart start failover --to x', mention: false },
    { line: 'rampart doctor', mention: true },
  ]);
  expect(words(`a 'b c' "d" # e`)).toEqual(['a', 'b c', 'd']);
});
