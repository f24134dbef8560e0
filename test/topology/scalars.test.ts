import fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatDuration, MAX_DURATION_MS, parseDuration } from '../../topology/duration.ts';
import { isSecretReference, secretProblem } from '../../topology/scalars.ts';
import { formatSize, parseSize } from '../../topology/size.ts';
import { closest } from '../../topology/suggest.ts';

test('a duration that is written reads back the same', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: MAX_DURATION_MS }), (ms) => parseDuration(formatDuration(ms)) === ms),
  );
});

test('a size that is written reads back the same', () => {
  fc.assert(fc.property(fc.integer({ min: 0, max: 2 ** 52 }), (bytes) => parseSize(formatSize(bytes)) === bytes));
});

test.each([
  ['30s', 30_000],
  ['5m', 300_000],
  ['1h30m', 5_400_000],
  ['500ms', 500],
  ['1m500ms', 60_500],
  ['1.5h', 5_400_000],
  ['0s', 0],
])('duration %s', (text, ms) => expect(parseDuration(text)).toBe(ms));

test.each(['', '30', 's', '5 m', '-5m', '30s5m', '1d', '5M', '1e3s', '.5s', '9000h', '30s ', '١s'])(
  'no duration: "%s"',
  (text) => expect(parseDuration(text)).toBeUndefined(),
);

test.each([
  ['16MiB', 16_777_216],
  ['512B', 512],
  ['1.5KiB', 1_536],
  ['1GB', 1_000_000_000],
])('size %s', (text, bytes) => expect(parseSize(text)).toBe(bytes));

test.each(['', '16', '16M', '16mib', '-1B', '99999999TiB'])('no size: "%s"', (text) =>
  expect(parseSize(text)).toBeUndefined(),
);

test('secrets are whole references', () => {
  for (const good of ['${env:DB_PASSWORD}', '${file:/run/secrets/db}']) expect(isSecretReference(good)).toBe(true);
  for (const bad of ['${env:}', '${env:1A}', '${file:relative}', 'x${env:A}', '${env:A}${env:B}', 'hunter2', '']) {
    expect(isSecretReference(bad)).toBe(false);
    if (bad !== '') expect(secretProblem(bad)?.message).not.toContain(bad);
  }
});

test('a slip of one letter finds the word again', () => {
  const words = ['components', 'services', 'standby', 'dependsOn', 'cutoverLag', 'approvals'];
  const slip = fc.tuple(fc.constantFrom(...words), fc.nat(), fc.constantFrom('drop', 'double', 'swap'));
  fc.assert(
    fc.property(slip, ([word, seed, kind]) => {
      const i = seed % (word.length - 1);
      const typed =
        kind === 'drop'
          ? word.slice(0, i) + word.slice(i + 1)
          : kind === 'double'
            ? word.slice(0, i) + word[i]! + word.slice(i)
            : word.slice(0, i) + word[i + 1]! + word[i]! + word.slice(i + 2);
      return closest(typed, words) === word;
    }),
  );
  expect(closest('zebra', words)).toBeUndefined();
});
