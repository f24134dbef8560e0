import type { DriverContext } from './ports.ts';

/** Values with their secret references resolved, and a way to keep those secrets out of texts. */
export interface Revealed {
  values: Record<string, string>;
  /** Replaces every resolved secret in a text by `***`. */
  redact(text: string): string;
}

/**
 * Resolves the references among the values; a plain value stays.
 * @throws what `context.secret` throws when a reference leads nowhere
 */
export async function reveal(
  values: Record<string, string>,
  context: Pick<DriverContext, 'secret'>,
): Promise<Revealed> {
  const entries = await Promise.all(
    Object.entries(values).map(async ([name, value]) => [name, await context.secret(value), value] as const),
  );
  const secrets = entries.filter(([, revealed, given]) => revealed !== given).map(([, revealed]) => revealed);
  // Longest first: a secret may be a part of another one.
  const known = secrets.filter((secret) => secret !== '').sort((a, b) => b.length - a.length);
  return {
    values: Object.fromEntries(entries.map(([name, revealed]) => [name, revealed])),
    redact: (text) => known.reduce((rest, secret) => rest.replaceAll(secret, '***'), text),
  };
}
