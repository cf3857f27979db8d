// Draws each chart of the page from the figure that lies in the page as JSON.
for (const source of document.querySelectorAll("script.figure")) {
  const figure = JSON.parse(source.textContent);
  const box = document.getElementById(source.dataset.chart);
  // Hidden until now: without scripts the tables stand alone.
  box.hidden = false;
  Plotly.newPlot(box, figure.data, figure.layout, {
    displaylogo: false,
    responsive: true,
    modeBarButtons: [["toImage"]],
    toImageButtonOptions: { filename: source.dataset.chart, scale: 2 },
  });
}

// Paper has nothing to open: details are printed open, and closed again after.
const closed = [];
addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details:not([open])")) {
    closed.push(details);
    details.open = true;
  }
});
addEventListener("afterprint", () => {
  for (const details of closed.splice(0)) details.open = false;
});
