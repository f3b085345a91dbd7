/** Diagrams as text: Graphviz's DOT, drawn by Graphviz itself, compiled to WebAssembly. No browser, no service, no program to install. */
import { instance } from '@viz-js/viz'
import { readTexts } from './files.ts'

const SOURCE = /^docs\/diagrams\/.+\.dot$/
/** One look for all: a diagram says what is there, not how it looks. */
const FONT = { fontname: 'Helvetica,Arial,sans-serif' }
const GRAPH = { ...FONT, bgcolor: 'white', fontsize: 12, pad: 0.2, nodesep: 0.35, ranksep: 0.5, style: 'rounded', color: '#b0bec5' }
const NODE = { ...FONT, shape: 'box', style: 'rounded,filled', fillcolor: '#eef3f8', color: '#5b7083', fontsize: 12, margin: '0.14,0.08' }
const EDGE = { ...FONT, color: '#5b7083', fontsize: 10, arrowsize: 0.7 }

/** The pictures of a tree by their path: `docs/diagrams/x.svg` of `docs/diagrams/x.dot`. @throws on one that Graphviz cannot read */
export async function drawDiagrams(root: string): Promise<ReadonlyMap<string, string>> {
  const [sources, viz] = await Promise.all([readTexts(root, (path) => SOURCE.test(path)), instance()])
  return new Map(
    sources.map(({ path, text }) => {
      const svg = viz.renderString(text, { format: 'svg', graphAttributes: GRAPH, nodeAttributes: NODE, edgeAttributes: EDGE })
      return [path.replace(/\.dot$/, '.svg'), svg]
    }),
  )
}
