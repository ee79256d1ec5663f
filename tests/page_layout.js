(() => {
  // What is wrong with the layout of the page as it stands, in words.
  const wrong = [], root = document.documentElement;
  const said = (e) => `${e.tagName.toLowerCase()}.${e.getAttribute('class') || ''} ${(e.textContent || '').slice(0, 40)}`;
  if (root.scrollWidth > root.clientWidth) wrong.push(`the page is ${root.scrollWidth} wide on ${root.clientWidth}`);
  for (const e of document.body.querySelectorAll('*')) {
    if (e.closest('svg') || !e.clientWidth) continue;
    const free = e.closest('[data-scrolls]');
    if (e.scrollWidth > e.clientWidth + 1 && !free) wrong.push(`wider than its box by ${e.scrollWidth - e.clientWidth}: ${said(e)}`);
  }
  const most = root.clientWidth;
  for (const svg of document.querySelectorAll('svg.chart')) {
    const box = svg.getBoundingClientRect();
    if (!box.width) continue;
    const name = svg.querySelector('title').textContent;
    const texts = [...svg.querySelectorAll('text')].map((t) => [t, t.getBoundingClientRect()]);
    texts.forEach(([t, a], i) => {
      const slack = 1.5;
      if (a.left < box.left - slack || a.right > box.right + slack || a.top < box.top - slack || a.bottom > box.bottom + slack)
        wrong.push(`${name}: cut: ${t.textContent}`);
      for (const [u, b] of texts.slice(i + 1)) {
        const w = Math.min(a.right, b.right) - Math.max(a.left, b.left);
        const h = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
        const scale = box.width / svg.viewBox.baseVal.width;
        if (w > 1 && h > 4.5 * scale) wrong.push(`${name}: on each other: ${t.textContent} | ${u.textContent}`);
      }
    });
  }
  return {wrong, height: root.scrollHeight};
})()
