/** What stands in the place of a component's manual commands when its driver could not make them. Pure. */

/** Every line of it is an explanation: what a system answered must not be run. */
export function notMade(error: unknown): string[] {
  const why = error instanceof Error ? error.message : String(error);
  return [`# The commands could not be made: ${why.replace(/\r?\n|\r/g, '\n# ')}`];
}
