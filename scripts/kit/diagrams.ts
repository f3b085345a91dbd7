/** Diagrams as text: Graphviz's DOT, drawn by Graphviz itself, compiled to WebAssembly. No browser, no service, no program to install. */
import { instance } from '@viz-js/viz'
import { readTexts } from './files.ts'

const SOURCE = /^docs\/diagrams\/.+\.dot$/
/** One look for all: a diagram says what is there, not how it looks. As a statement of the graph, so that what is nested takes it over too. */
const LOOK = `
  graph [bgcolor=white, pad=0.15, nodesep=0.3, ranksep=0.45, style=rounded, color="#b0bec5", fontname="Helvetica,Arial,sans-serif", fontsize=12]
  node [shape=box, style="rounded,filled", fillcolor="#eef3f8", color="#5b7083", fontname="Helvetica,Arial,sans-serif", fontsize=12, margin="0.14,0.07"]
  edge [color="#5b7083", fontname="Helvetica,Arial,sans-serif", fontsize=10, arrowsize=0.7]`

/** The pictures of a tree by their path: `docs/diagrams/x.svg` of `docs/diagrams/x.dot`. @throws on one that Graphviz cannot read */
export async function drawDiagrams(root: string): Promise<ReadonlyMap<string, string>> {
  const [sources, viz] = await Promise.all([readTexts(root, (path) => SOURCE.test(path)), instance()])
  return new Map(
    sources.map(({ path, text }) => {
      const svg = viz.renderString(text.replace('{', `{${LOOK}`), { format: 'svg' })
      return [path.replace(/\.dot$/, '.svg'), svg]
    }),
  )
}
