/** Reads the texts of options. */
import { parseDuration } from '../../topology/duration.ts';
import { badInput } from './exit.ts';

/** @throws CliError when the text is no duration, or none at all */
export function readTimeout(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const ms = parseDuration(text);
  if (ms === undefined || ms === 0) throw badInput(`--timeout ${text}: a duration such as 90s, 10m or 1h`);
  return ms;
}

/** `--override a,b --override c` → `[a, b, c]` */
export function readCodes(given: readonly string[] | undefined): string[] {
  const codes = (given ?? []).flatMap((text) => text.split(',')).map((code) => code.trim());
  return [...new Set(codes.filter((code) => code !== ''))];
}
