#pragma once

#include "carbonedge/node.hpp"

#include <limits>

namespace carbonedge
{
/// How much each component counts. Each >= 0, their sum > 0.
struct Weights
{
    double resource;
    double load;
    double performance;
    double balance;
    double carbon;
};

/// The five components of a score, each higher for a better node.
struct Components
{
    double resource;
    double load;
    double performance;
    double balance;
    double carbon;
};

enum class Scoring
{
    /// Algorithm 1 of CarbonEdge (arXiv 2603.27420), to the letter.
    paper,
    /// Each component min-max scaled over the nodes that passed the filters.
    normalized,
    /// Least emissions within the task's latency target.
    constrained,
};

/// How a table decides. Fixed for the table's life.
struct Policy
{
    Weights weights;
    Scoring scoring = Scoring::normalized;
    double max_load = 0.8;
    double max_network_latency_ms = std::numeric_limits<double>::infinity();
    /// Weight of the newest observation in a node's avg_time_ms, in (0, 1].
    double smoothing = 0.2;
};

/// sum of weight * component, in the order of the struct's members.
[[nodiscard]] double weighted_sum(Weights const &weights, Components const &components);

/// The components of Algorithm 1 for a node that passed its filters. The
/// resource component is 1 for every such node: it is clamped at what the task
/// needs, and the filter demands as much. Carbon is 1 / (1 + I * E) with I * E
/// in milligrams, the only unit that gives the paper's published ranges.
[[nodiscard]] Components paper_components(Node const &node);
} // namespace carbonedge
