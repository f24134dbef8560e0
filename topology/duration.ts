/** Durations as people write them (`30s`, `5m`, `1h30m`, `500ms`), Go style, in whole milliseconds. */

const UNITS: ReadonlyArray<readonly [unit: string, ms: number]> = [
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1_000],
  ['ms', 1],
];

/** Longest duration accepted: one year. Anything longer is a slip of the unit. */
export const MAX_DURATION_MS = 8_760 * 3_600_000;

/** The grammar as a regular expression, also for JSON Schema. */
export const DURATION_PATTERN =
  '^(?=.)(?:(\\d+(?:\\.\\d+)?)h)?(?:(\\d+(?:\\.\\d+)?)m)?(?:(\\d+(?:\\.\\d+)?)s)?(?:(\\d+)ms)?$';
const DURATION = new RegExp(DURATION_PATTERN);

/**
 * Reads a duration.
 * @returns milliseconds (whole, 0 to one year), or `undefined` when the text is no duration or too long.
 */
export function parseDuration(text: string): number | undefined {
  const match = DURATION.exec(text);
  if (match === null) return undefined;
  const ms = Math.round(UNITS.reduce((sum, [, unitMs], i) => sum + Number(match[i + 1] ?? 0) * unitMs, 0));
  return ms <= MAX_DURATION_MS ? ms : undefined;
}

/** Writes whole milliseconds the way {@link parseDuration} reads them, greatest unit first: `5400000` → `1h30m`. */
export function formatDuration(ms: number): string {
  let rest = Math.round(Math.abs(ms));
  let text = '';
  for (const [unit, unitMs] of UNITS) {
    const count = Math.floor(rest / unitMs);
    rest -= count * unitMs;
    if (count > 0) text += `${count}${unit}`;
  }
  return text === '' ? '0s' : ms < 0 ? `-${text}` : text;
}
