import { Template } from '../../../src/batch/file/template';

describe('a template', () => {
  it('names columns, with or without blanks around them, as often as it likes', () => {
    const template = new Template('{{ text }} into {{lang}}, {{text}}, {"a": {"b": 1}}');
    expect(template.columns).toEqual(['text', 'lang']);
    expect(template.fill({ text: 'Hi', lang: 'French' })).toBe('Hi into French, Hi, {"a": {"b": 1}}');
  });

  it('takes values as they are', () => {
    const values = { text: '{{lang}} $& $1 {{text}}', lang: '{{text}}' };
    expect(new Template('{{text}}|{{lang}}').fill(values)).toBe('{{lang}} $& $1 {{text}}|{{text}}');
  });

  it('may name columns that are called like what objects have', () => {
    expect(() => new Template('{{constructor}}').check(['text'])).toThrow('names constructor, which is not there');
    const values = Object.fromEntries([['__proto__', 'value']]) as Record<string, string>;
    expect(new Template('{{__proto__}}').fill(values)).toBe('value');
  });

  it('must name columns that are there', () => {
    expect(() => new Template('{{text}} {{tongue}}').check(['id', 'text', 'lang'])).toThrow(
      'The template names tongue, which is not there (there are id, text, lang): correct it, or have a column hold {{tongue}} where that is to stay as it is.',
    );
  });

  it('must be a template', () => {
    expect(() => new Template('Translate it')).toThrow('The template names no column: write at least one as {{name}}.');
    expect(() => new Template('{{text}} {{ }}')).toThrow('place without a name');
    expect(() => new Template('{{text}} into {{lang}, please')).toThrow(
      'The template has a place that is not closed, "{{lang}, please": write it as {{name}}.',
    );
  });
});
