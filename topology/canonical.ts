/** One text for one value, whatever the order in which its keys were written. Pure. */
import type { Json } from '../drivers/ports.ts';

/**
 * JSON without spaces and with sorted keys. Fields that are `undefined` are left out, as JSON does. Written out here
 * because sorting inside a replacer of JSON.stringify builds every object anew, which took half of a compilation.
 */
export function canonicalJson(value: Json | undefined | object): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null';
  if (Array.isArray(value)) return `[${value.map((part: Json | undefined) => canonicalJson(part)).join(',')}]`;
  const fields: string[] = [];
  for (const key of Object.keys(value).sort()) {
    const part = (value as Record<string, Json | undefined>)[key];
    if (part !== undefined) fields.push(`${JSON.stringify(key)}:${canonicalJson(part)}`);
  }
  return `{${fields.join(',')}}`;
}
