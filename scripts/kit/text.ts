/** Text without control characters, which XML forbids and a terminal obeys; tabs and line ends stay. */
export function printable(text: string): string {
  return [...text].filter((char) => (char >= ' ' && !isC1(char)) || char === '\n' || char === '\t').join('')
}

/** The second set of control characters; a terminal takes U+009B for ESC [. */
const isC1 = (char: string) => char >= '\u007f' && char <= '\u009f'

/** The same in one line. */
export function oneLine(text: string): string {
  return printable(text).replaceAll(/\s+/g, ' ').trim()
}

/** Lines of a table, its columns as wide as their widest cell. */
export function table(header: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const all = [header, ...rows]
  const widths = header.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)))
  return all.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  )
}
