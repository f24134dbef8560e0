import { RampartError } from './errors.ts';

/** What a team's command or call may ask for by name. Plain names and ids, never secrets. */
export type Variables = Readonly<Record<string, string>>;

/**
 * Puts the variables in for `{{name}}`, once: what is put in is not looked at again.
 * @throws InvalidInput for a name that does not exist, so that `{{form}}` never reaches a command as it stands
 */
export function fillIn(text: string, variables: Variables): string {
  return text.replace(/\{\{\s*([A-Za-z]+)\s*\}\}/g, (whole, name: string) => {
    if (Object.hasOwn(variables, name)) return variables[name]!;
    const remedy = `There are ${Object.keys(variables)
      .map((known) => `{{${known}}}`)
      .join(', ')}.`;
    throw new RampartError('InvalidInput', `there is no variable ${whole}`, { remedy });
  });
}

/** `runId` → `RAMPART_RUN_ID`: the same variables as a command's environment. */
export function asEnvironment(variables: Variables): Record<string, string> {
  return Object.fromEntries(
    Object.entries(variables).map(([name, value]) => [
      `RAMPART_${name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`,
      value,
    ]),
  );
}
