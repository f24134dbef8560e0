/** Aligned columns that know how wide coloured text is. */

// biome-ignore lint/suspicious/noControlCharactersInRegex: the escape that begins a colour
const COLOUR = /\u001b\[[0-9;]*m/g;

/** Characters a text takes on a terminal. */
export const width = (text: string): number => [...text.replace(COLOUR, '')].length;

export const pad = (text: string, columns: number): string => text + ' '.repeat(Math.max(0, columns - width(text)));

/** Rows as lines; the last column is not padded. */
export function table(rows: readonly (readonly string[])[], gap = '  '): string[] {
  const columns = Math.max(0, ...rows.map((row) => row.length));
  const widths = Array.from({ length: columns }, (_, i) => Math.max(0, ...rows.map((row) => width(row[i] ?? ''))));
  return rows.map((row) =>
    row
      .map((cell, i) => (i === row.length - 1 ? cell : pad(cell, widths[i]!)))
      .join(gap)
      .trimEnd(),
  );
}

const HANGING = '    ';

/** Breaks a line at its spaces to the terminal's width, what follows indented. A word that is longer is broken. */
export function fold(line: string, columns: number): string[] {
  if (width(line) <= columns) return [line];
  const lines: string[] = [];
  let current = '';
  for (const word of line.split(/(?<= )(?=[^ ])/)) {
    if (width(current + word.trimEnd()) > columns && current.trim() !== '') {
      lines.push(current.trimEnd());
      current = HANGING;
    }
    current += word;
    while (width(current.trimEnd()) > columns) {
      const [head, tail] = cut(current, columns);
      lines.push(head);
      current = HANGING + tail;
    }
  }
  return [...lines, current.trimEnd()];
}

/** The first characters that fit, colours not counted, and the rest. */
function cut(text: string, columns: number): [string, string] {
  let shown = 0;
  let at = 0;
  while (at < text.length && shown < columns) {
    COLOUR.lastIndex = at;
    const colour = COLOUR.exec(text);
    if (colour?.index === at) at += colour[0].length;
    else {
      at += text.codePointAt(at)! > 0xffff ? 2 : 1;
      shown += 1;
    }
  }
  return [text.slice(0, at), text.slice(at)];
}

/** `1 error`, `2 errors` */
export const plural = (n: number, noun: string): string => `${n} ${noun}${n === 1 ? '' : 's'}`;
