/** A template string, cut into literal text and expressions. */
export type TemplatePart = { text: string } | { expression: string };

export class TemplateSyntaxError extends Error {}

/**
 * Cuts `a ${b} c` into parts. `$${` stands for a literal `${`. Braces and quotes inside an
 * expression are balanced, so a CEL map literal or a string with a brace does not end it early.
 */
export function splitTemplate(source: string): TemplatePart[] {
  const parts: TemplatePart[] = [];
  let text = '';
  let i = 0;
  while (i < source.length) {
    if (source.startsWith('$${', i)) {
      text += '${';
      i += 3;
    } else if (source.startsWith('${', i)) {
      const end = expressionEnd(source, i + 2);
      if (end < 0)
        throw new TemplateSyntaxError(`"\${" at character ${i} is never closed; add "}" or write "$\${"`);
      if (text) parts.push({ text });
      text = '';
      parts.push({ expression: source.slice(i + 2, end).trim() });
      i = end + 1;
    } else {
      text += source[i];
      i += 1;
    }
  }
  if (text || parts.length === 0) parts.push({ text });
  return parts;
}

function expressionEnd(source: string, start: number): number {
  let depth = 0;
  let quote = '';
  for (let i = start; i < source.length; i += 1) {
    const char = source[i] as string;
    if (quote) {
      if (char === '\\') i += 1;
      else if (char === quote) quote = '';
    } else if (char === '"' || char === "'") quote = char;
    else if (char === '{') depth += 1;
    else if (char === '}') {
      if (depth === 0) return i;
      depth -= 1;
    }
  }
  return -1;
}
