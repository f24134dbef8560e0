/** Sizes as people write them (`16MiB`, `64KiB`, `512B`), in bytes. Binary and decimal units, never bare numbers. */

const UNITS: Readonly<Record<string, number>> = {
  B: 1,
  kB: 1e3,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
};
const BINARY = ['TiB', 'GiB', 'MiB', 'KiB'] as const;

/** The grammar as a regular expression, also for JSON Schema. */
export const SIZE_PATTERN = '^(\\d+(?:\\.\\d+)?)(B|kB|KB|MB|GB|TB|KiB|MiB|GiB|TiB)$';
const SIZE = new RegExp(SIZE_PATTERN);

/**
 * Reads a size.
 * @returns whole bytes, or `undefined` when the text is no size or exceeds 2^53 bytes.
 */
export function parseSize(text: string): number | undefined {
  const match = SIZE.exec(text);
  if (match === null) return undefined;
  const bytes = Math.round(Number(match[1]) * UNITS[match[2]!]!);
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

/** Writes bytes exactly, in the greatest binary unit that divides them: `16777216` → `16MiB`, `1500` → `1500B`. */
export function formatSize(bytes: number): string {
  const whole = Math.round(bytes);
  const unit = whole === 0 ? undefined : BINARY.find((name) => whole % UNITS[name]! === 0);
  return unit === undefined ? `${whole}B` : `${whole / UNITS[unit]!}${unit}`;
}
